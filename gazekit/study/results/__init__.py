"""The result of a study: collected, pooled over runs, judged."""
