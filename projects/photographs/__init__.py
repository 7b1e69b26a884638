"""Train the models on photographs: equal budgets, and claims of the papers."""
