"""What runs next? A pure plan decides; a thin trio shell carries it out."""
