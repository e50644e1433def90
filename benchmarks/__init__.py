"""What vendortap costs beside what users would pick instead: ``make bench`` and ``make bench-quick``."""
