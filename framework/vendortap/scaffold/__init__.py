"""Drafts what an author would otherwise type: schemas from real bodies, connectors from OpenAPI, whole plugin projects.

Nothing here is used while a connector runs. What a draft rests on a guess for, it says (``Notes``); what it could not
carry over, it says too.
"""
