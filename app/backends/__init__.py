"""Where answers come from: one file per backend, one method each."""
