"""What happened to every entry of a run: figures, the conservation check, and the pages that show them."""
