"""Local servers that speak a vendor's protocol: ``kit`` is what they share, ``faults`` injects, ``serve`` runs them."""
