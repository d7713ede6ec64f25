"""Take on an application that knows nothing of Slipway: look at its repository, write slipway.toml, lock what it needs.

inspect   what a repository says of itself: pure, from its files; nothing of it is run or imported
surroundings   what it needs around it: packages of the system, a database, processes, words with the load balancer
write     the slipway.toml that follows from that, with guesses marked
lock      the versions and hashes of what it requires
"""
