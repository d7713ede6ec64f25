/* The wall clock of a machine whose clock was stepped: the computer's, and as many seconds as a file says.

   Preloaded into every program of the machine. Only the wall clock moves: what measures durations stays, because the
   kernel's timers run by it. The file is mapped, so a second step is seen at once, also by what already runs.
   Without headers: the compiler's package has none. */

struct stamp { long seconds, fraction; };

extern int open(const char *, int, ...);
extern int close(int);
extern void *mmap(void *, unsigned long, int, int, int, long);
extern void *dlsym(void *, const char *);

#define NEXT ((void *)-1l)
#define REALTIME 0
#define REALTIME_COARSE 5
#define TAI 11

static long none;
static volatile long *step = &none;
static int (*real)(int, struct stamp *);

__attribute__((constructor)) static void map(void)
{
    int file = open(STEP, 02000000); /* O_RDONLY | O_CLOEXEC */
    if (file < 0)
        return;
    void *found = mmap(0, sizeof(long), 1, 1, file, 0); /* PROT_READ, MAP_SHARED */
    if (found != NEXT)
        step = found;
    close(file);
}

int clock_gettime(int clock, struct stamp *now)
{
    if (!real)
        real = dlsym(NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == REALTIME || clock == REALTIME_COARSE || clock == TAI))
        now->seconds += *step;
    return result;
}

int gettimeofday(struct stamp *now, void *zone)
{
    if (clock_gettime(REALTIME, now))
        return -1;
    now->fraction /= 1000;
    return 0;
}

long time(long *target)
{
    struct stamp now;
    if (clock_gettime(REALTIME_COARSE, &now))
        return -1;
    if (target)
        *target = now.seconds;
    return now.seconds;
}

int timespec_get(struct stamp *now, int base)
{
    return base == 1 && clock_gettime(REALTIME, now) == 0 ? base : 0;
}
