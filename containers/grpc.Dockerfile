# The gRPC container: every operation of keyrail.v1, and Envoy's ext_authz. docs/grpc.md
#
#   docker build -f containers/grpc.Dockerfile -t keyrail-grpc .
#
# BASE is any image with Python 3.11 or newer and glibc; both stages use it.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH=0
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY shared/ shared/
# Compiled here: without the .pyc files a start takes more than twice as long, and at run time nothing can be written.
RUN python3 -m venv /opt/keyrail \
 && /opt/keyrail/bin/pip install '.[grpc,config,oidc]' \
 && /opt/keyrail/bin/pip uninstall --yes pip \
 && /opt/keyrail/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/keyrail/lib

FROM ${BASE}
COPY --from=build /opt/keyrail /opt/keyrail
# Plaintext is refused beyond loopback unless KEYRAIL_GRPC_PLAINTEXT says otherwise: give it a certificate.
ENV PATH=/opt/keyrail/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRPC_VERBOSITY=NONE \
    KEYRAIL_GRPC_ADDRESS=0.0.0.0:50051 \
    KEYRAIL_GRPC_PROBE_ADDRESS=0.0.0.0:9464
USER 65532:65532
EXPOSE 50051 9464
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "keyrail.triggers.grpc_server"]
