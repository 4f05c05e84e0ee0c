"""The OpenAPI document, from what serves: routes and views, serializers, the classes of answers, the words of the dialects."""
