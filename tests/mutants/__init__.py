"""
One-line mutants of the product, and the tests that must fail on each: `make mutants`.

Line coverage tells which lines ran; this tells whether anybody would notice. A mutant is data (`mutant.Mutant`), sorted into a
module for each area; `__main__` runs them on a copy of the checkout.
"""
