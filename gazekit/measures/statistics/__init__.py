"""Statistics that every measure uses: intervals over patients, permutations, parts of variance."""
