#!/bin/sh
# A relay in its plainest configuration, which knows the lab by the maps in /lab.
set -eu
postconf -e \
  'maillog_file = /dev/stdout' \
  'myhostname = postfix.test' \
  'mydestination =' \
  'alias_maps =' \
  'inet_interfaces = loopback-only' \
  'inet_protocols = ipv4' \
  'mynetworks = 127.0.0.0/8' \
  'smtp_host_lookup = native' \
  'transport_maps = texthash:/lab/transport' \
  'smtp_tls_CAfile = /lab/certs/lab-root.pem' \
  "smtp_tls_security_level = $SMTP_TLS_LEVEL" \
  'smtp_starttls_timeout = 2s' \
  'queue_run_delay = 2s' \
  'minimal_backoff_time = 2s' \
  'maximal_backoff_time = 2s'
if [ "$SMTP_TLS_LEVEL" = secure ]; then
  # The name that each host's certificate must bear.
  postconf -e 'smtp_tls_policy_maps = texthash:/lab/tls'
fi
exec postfix start-fg
