"""What the site of the documentation has beside the written pages; `extension` adds it to them."""
