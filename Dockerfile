# syntax=docker/dockerfile:1
# Two stages: the first builds a virtual environment from the lock file, the second holds it alone.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir 'uv>=0.9'
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY policies policies
COPY certs certs
COPY relay relay
ENV UV_PROJECT_ENVIRONMENT=/opt/relaylab UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
RUN /opt/uv/bin/uv sync --frozen --no-dev --no-editable

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Relaylab" \
      org.opencontainers.image.description="A local SMTP relay that enforces TLS policy, with a lab" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/relaylab /opt/relaylab
ENV PATH=/opt/relaylab/bin:$PATH \
    PYTHONUNBUFFERED=1 \
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
