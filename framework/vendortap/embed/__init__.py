"""Records in a Python program, without Singer: ``vendortap.read`` and ``vendortap.read_arrow``."""
