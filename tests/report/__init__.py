"""Pages that need nothing but themselves: no script, no font, no picture from elsewhere; light or dark as the reader's system."""
