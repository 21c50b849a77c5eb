"""The fault matrix: checks the delivery guarantees, scenario by scenario, against the stand-in over HTTP."""
