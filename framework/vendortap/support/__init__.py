"""What every room uses and that knows nothing of vendors: files, locks, logs, redaction, versions."""
