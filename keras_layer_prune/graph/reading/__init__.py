"""What a graph of calls says: operations, descent, what closed gates make of it."""
