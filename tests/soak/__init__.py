"""A soak: many seeded histories of a hostile vendor, each judged by the bytes that the vendor served.

``python -m tests.soak`` runs them; ``make soak`` runs 500 for each connector. A history is a vendor with more than 60
invoices, and three runs or more of the product against it. In all runs but the last the vendor misbehaves as the seed
says, and its lists change while they are read. The last run meets a quiet list and no new fault. A document that was
spoilt for good stays so.

What it proves, for the histories that it draws:

* A run that ends with 0 or 3 leaves each invoice that the vendor held throughout that run in the tables, or some run
  named it by its number: in a warning, or in the quarantine. What an error names counts only until a later run ends
  without one.
* After the last run each invoice that the vendor holds is in the tables with the exact amount of the last list that was
  served, or is named. This holds for whatever is spoilt for good too: it must not keep the others out.
* No table has a number with an amount that no reply held together.
* The last run does not fail, unless something is spoilt for good.

What it cannot prove: that a row is found that no page showed. Where one row leaves a list and another comes between two
pages, and no number of rows, repeated row or page tells, nobody can see that a row was passed over. Where the vendor
states no count, one row that leaves is enough, and a list whose pages are all empty from one on is a shorter list.
Such a case is recognised from the replies, excused, and counted as ``unseen``. The generator draws it only with
``--unseen``. A count that says just then that the list is at its end is excused in the same way, as is an answer that
the vendor's document gives the meaning "nothing found".
"""
