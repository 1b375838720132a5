"""The running relay: owns lifetimes, the clock and the queue."""
