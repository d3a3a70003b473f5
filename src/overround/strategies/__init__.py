"""Pure strategies: each states the quotes and baskets it wants; none knows another."""
