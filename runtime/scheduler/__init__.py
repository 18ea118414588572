"""What runs next? A pure plan decides; a thin shell does."""
