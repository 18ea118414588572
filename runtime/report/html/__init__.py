"""The report of a run as one HTML file, which needs no network: see `page.page_text`."""
