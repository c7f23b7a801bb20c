"""Children as recipes: who descends from whom, and genomes made where they are scored."""
