# Every operation of keyrail.v1 over gRPC, and Envoy's ext_authz:
#   docker build -f containers/grpc.Dockerfile -t keyrail/grpc:0.1.0 .
# The arguments are those of function.Dockerfile but for FUNCTION; docs/grpc.md says how to run it.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# 1 takes no wheel but those in wheelhouse/
ARG PIP_NO_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_FIND_LINKS=/build/wheels PYTHONDONTWRITEBYTECODE=1
SHELL ["/bin/sh", "-euc"]
WORKDIR /build
COPY constraints wheelhouse* wheels/
RUN python3 -m venv tools \
 && tools/bin/pip install --quiet --only-binary :all: --require-hashes -r wheels/build.txt \
 && python3 -m venv --without-pip /opt/keyrail \
 && tools/bin/pip --python /opt/keyrail/bin/python install --quiet --only-binary :all: --require-hashes -r wheels/grpc.txt
# seconds since 1970 (reproducible-builds.org): the time of every file we add
ARG SOURCE_DATE_EPOCH=1577836800
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && tools/bin/pip --python /opt/keyrail/bin/python install --quiet --no-deps --no-index dist/*.whl
# .pyc files without a look at their source: without any, a start takes more than twice as long
RUN tools/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/keyrail/lib \
 && find /opt/keyrail -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/keyrail /opt/keyrail
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="keyrail grpc" \
      org.opencontainers.image.description="Keyrail over gRPC, and as Envoy's external authorization" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Beyond loopback it wants a certificate, or KEYRAIL_GRPC_PLAINTEXT=true. GRPC_VERBOSITY: grpc would write a line of its
# own, which is no JSON, for each handshake that it refuses.
ENV PATH=/opt/keyrail/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 GRPC_VERBOSITY=NONE \
    KEYRAIL_GRPC_ADDRESS=0.0.0.0:50051 KEYRAIL_GRPC_PROBE_ADDRESS=0.0.0.0:9464
USER 65532:65532
EXPOSE 50051 9464
CMD ["python", "-m", "keyrail.triggers.grpc_server"]
