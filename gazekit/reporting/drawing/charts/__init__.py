"""Draw charts: of a classification, of trainings."""
