"""Pages that exist only in the demonstration, on the loopback address."""

from django.urls import path

from portal.demo import views

urlpatterns = [
    path("", views.DemoPage.as_view(), name="demo"),
    path("mail/", views.MailboxPage.as_view(), name="demo-mail"),
    path("mail/<slug:key>/", views.MailPage.as_view(), name="demo-mail-message"),
    path("workloads/", views.StartWorkload.as_view(), name="demo-workload"),
]
