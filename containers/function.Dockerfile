# One image a function:
#   docker build -f containers/function.Dockerfile --build-arg FUNCTION=validate_key -t keyrail/validate_key:0.1.0 .
# Wheels in wheelhouse/ are taken before the index's; docs/deploy/containers.md has the arguments.
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
 && tools/bin/pip --python /opt/keyrail/bin/python install --quiet --only-binary :all: --require-hashes -r wheels/deploy.txt
# seconds since 1970 (reproducible-builds.org): the time of every file we add
ARG SOURCE_DATE_EPOCH=1577836800
COPY pyproject.toml README.md LICENSE ./
COPY shared shared
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && tools/bin/pip --python /opt/keyrail/bin/python install --quiet --no-deps --no-index dist/*.whl
# .pyc files without a look at their source: without any, a start takes more than twice as long
RUN tools/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/keyrail/lib \
 && find /opt/keyrail -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +
ARG FUNCTION
COPY functions/${FUNCTION}/main.py /srv/main.py
RUN find /srv -exec touch --date "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON_IMAGE}
# the same layer in every function's image
COPY --from=build /opt/keyrail /opt/keyrail
ARG FUNCTION
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="keyrail ${FUNCTION}" \
      org.opencontainers.image.description="Keyrail's function ${FUNCTION}, served over HTTP" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /srv /srv
# HOME: gunicorn writes there, and the root file system may be read-only. PORT and THREADS are read at the start.
ENV PATH=/opt/keyrail/bin:/usr/local/bin:/usr/bin:/bin HOME=/tmp PYTHONUNBUFFERED=1 PORT=8080 THREADS=4
WORKDIR /srv
USER 65532:65532
EXPOSE 8080
CMD ["functions-framework", "--source", "/srv/main.py", "--target", "handler"]
