"""The diagnosis of a failure: what is wrong, where it starts, and which mistake does exactly that.

    print(explain(case, evaluation, PRECISIONS[case.dtype]))

Every fault of the catalogue is run on the same case in the same dtype and compared with what was returned, in every
element (``likeness`` derives how near is alike). It is named only if all is alike that was returned, in all cases
that were looked at, while correct code is not: some element is too far out for that, and a quantity that fails
without such an element fails with the fault, too. A fault that is itself a rounding is named for the digits that it
leaves, for no two implementations round alike (``arithmetic``). Where no fault does it, two at once are tried
(``pairs``), and the hidden units in another order (``orders``); the digits and the size of the errors say something of
the arithmetic.
"""

from reference.explain.account import Diagnosis
from reference.explain.diagnosis import diagnose, explain, explain_subject
from reference.explain.observed import Observed, once, watched
from reference.explain.orders import partial_order
from reference.explain.pairs import both

__all__ = [
    "Diagnosis",
    "Observed",
    "both",
    "diagnose",
    "explain",
    "explain_subject",
    "once",
    "partial_order",
    "watched",
]
