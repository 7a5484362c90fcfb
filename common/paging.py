"""How the API pages. Apart from common.api: the settings name it while DRF is still being imported."""

from rest_framework.pagination import PageNumberPagination


class Pages(PageNumberPagination):
    """25 a page, 200 at most."""

    page_size = 25
    page_size_query_param = "page_size"
    max_page_size = 200
