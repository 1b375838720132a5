"""The durable record: messages, queue, sessions, attempts, bounces."""
