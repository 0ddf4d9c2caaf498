"""The verbs, from media to media: each public function stands with the verb that it is."""
