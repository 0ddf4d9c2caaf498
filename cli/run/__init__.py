"""The machinery that all pages share: inputs, plan, batch, results, reports."""
