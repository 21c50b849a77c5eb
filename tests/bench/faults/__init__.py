"""The fault matrix: the promise of delivery, scenario by scenario, against the stand-in over HTTP."""
