"""The only network: pooled connections, token bucket, retries, timeouts, driving of auth flows, redaction.

A ``Client`` serves one connector and is shared by all its threads. It goes through requests' ``HTTPAdapter``,
not through a ``requests.Session``: the adapter has the pool, TLS verification and the proxies, and lacks what
must not happen here: cookies, following redirects, credentials out of ``~/.netrc``.

No message and no log line holds a body, a header, a query string or a value known to be secret.

The modules, in the order of a request's way: ``client`` leads it through the others, ``addresses`` checks where it
goes, ``credentials`` drives the auth flows, ``rate_limit`` says when it may go, ``calls`` makes what is sent,
``connection`` sends it, ``bodies`` reads the answer, ``failures`` says why there is none, ``answers`` judges it, with
the vendor's own sentence out of ``messages``, and ``traffic`` is what others are told of all that.
"""
