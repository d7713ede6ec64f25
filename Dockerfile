# The image of a release, for those who build with `docker build`. `make image` writes the same files into the same two
# layers without an engine, the same bytes each time: docs/reference/image.md. A test builds both and compares them.
#
#   make release
#   docker build --build-arg BASE=IMAGE --build-arg NAME=gazetteer --build-arg VERSION=1.4.0 \
#       --build-arg RELEASE=dist/gazetteer-1.4.0 --tag gazetteer:1.4.0 .
#
# BASE is any image with the contract's Python at /usr/bin.
ARG BASE

# Which file belongs to the app, and which to its dependencies? The release's own Python sorts them.
FROM ${BASE} AS parts
ARG RELEASE
COPY ${RELEASE}/ /release/
COPY packaging/image/ /files/
COPY deploy/artifacts/image/layers.py /
RUN ["/release/bin/python", "-ISB", "/layers.py", "/release", "/files", "/parts"]

FROM ${BASE}
ARG NAME
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/${NAME}
COPY --from=parts /parts/dependencies/ /
COPY --from=parts /parts/app/opt/ /opt/
COPY --from=parts /parts/app/usr/ /usr/

ARG VERSION
ARG DESCRIPTION
ARG REVISION
ARG CREATED
ARG LICENSES
ARG SOURCE
ARG DIGEST
LABEL org.opencontainers.image.title=${NAME} \
      org.opencontainers.image.description=${DESCRIPTION} \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.created=${CREATED} \
      org.opencontainers.image.licenses=${LICENSES} \
      org.opencontainers.image.source=${SOURCE} \
      slipway.release.digest=${DIGEST}
ENV PATH=/opt/${NAME}/releases/${VERSION}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/var/lib/${NAME} \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RELEASE_VERSION=${VERSION}
USER 10001:10001
WORKDIR /var/lib/${NAME}
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/entrypoint", "health"]
ENTRYPOINT ["/usr/local/bin/entrypoint"]
CMD ["serve"]
