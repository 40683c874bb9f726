"""Train a backbone on patches of a prepared data set, before any training on exams."""
