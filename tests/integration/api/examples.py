"""Checks every example of an OpenAPI 3.1 document against its schema, and prints how many there are."""

import json
import sys

import jsonschema_rs

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)

checked = 0
for item in document["paths"].values():
    for operation in item.values():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values(), *document["components"]["responses"].values()]
        for content in (content for body in bodies for content in body.get("content", {}).values()):
            if "example" in content:
                schema = {**content["schema"], "components": document["components"]}
                jsonschema_rs.validate(schema, content["example"])
                checked += 1
print(checked)
