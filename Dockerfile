# Two stages: the first builds an environment from the lock file, the second holds it alone.
# Any base with Python 3.11 to 3.13 and its `venv` will do.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# Where the build has no network: wheels in the folder `wheels`, and these two (docs/docker.md).
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# A pattern may match nothing, and mostly there are no wheels.
COPY wheel[s] /wheels/
RUN python -m venv /opt/build && /opt/build/bin/pip install --quiet 'uv>=0.9'
# The dependencies change less often than the project does.
COPY pyproject.toml uv.lock /opt/build/
RUN python -m venv --without-pip /opt/relaylab \
    && /opt/build/bin/uv export --quiet --project /opt/build --frozen --no-default-groups --no-emit-project \
       --output-file /opt/build/requirements.txt \
    && /opt/build/bin/pip --python /opt/relaylab/bin/python install --quiet \
       --require-hashes --no-deps --requirement /opt/build/requirements.txt
RUN --mount=type=bind,target=/context,rw \
    /opt/build/bin/pip --python /opt/relaylab/bin/python install --quiet --no-deps /context

FROM ${BASE}
LABEL org.opencontainers.image.title="Relaylab" \
      org.opencontainers.image.description="A local SMTP relay that enforces TLS policy, with a lab" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/relaylab /opt/relaylab
ENV PATH=/opt/relaylab/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RELAY_STATE=/var/lib/relaylab \
    RELAY_LISTEN=0.0.0.0 \
    RELAY_SUBMISSION=false
# Numeric, so that an orchestrator can see that it is not root.
RUN install -d -o 10001 -g 10001 /var/lib/relaylab
USER 10001:10001
VOLUME /var/lib/relaylab
EXPOSE 1025 1465
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=10s --retries=3 \
    CMD ["python", "-m", "relay.cli.readyz"]
ENTRYPOINT ["relay"]
CMD ["serve", "--policy", "required-verify"]
