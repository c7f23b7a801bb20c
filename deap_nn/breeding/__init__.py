"""Children as recipes: their ancestry, and breeding them in the process that scores them."""
