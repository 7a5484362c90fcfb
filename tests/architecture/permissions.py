"""Who may open which address. A route that stands in no line fails the suite.

OPEN       anybody, signed in or not
MEMBER     anybody who is signed in (lists show each only what is theirs)
OBJECT     an object of an organisation: its people and the agency; nobody else learns that it is there (404)
STAFF      the agency (not reviewers); everybody else gets 404 or 403
REVIEW     a review: its reviewer, who has declared; neither the proposal's people nor other reviewers (404)
AUDIT      auditors and administrators
ADMIN      administrators
NODE       agents with a node token; no person, whatever the role
"""

OPEN = """
proposals:reviewer-join
proposals:call-document proposals:public-call proposals:public-calls
allocations:feed-file demo demo-mail demo-mail-message healthz metrics metrics-devices node-join
partners:invitation readyz
"""
MEMBER = """
progress-report-list
amendment-list obligation-list
proposals:reviews proposals:reviewer-profile review-list review-waive reviewer-invite reviewer-invitations reviewer-list
reviewer-revoke-invitation step-list
amendment-list contact-list department-list obligation-list relation-list shareholder-list
accounts:key-remove accounts:keys accounts:profile accounts:token-revoke accounts:tokens agreement-list
allocation-list allocations:allocations allocations:calendar allocations:feed allocations:feed-revoke
allocations:find allocations:leases availability-list
availability-calendar availability-slots blackout-detail blackout-list calendar-feed-list
adjustment-list allocations:weights weight-detail weight-list
availability-calendar availability-slots calendar-feed-list
calendar-feed-revoke call-cancel call-detail call-documents call-eligibility call-list call-remove-document
demo-workload
idle-case-list idle-rule-list usage:figures usage:idle-cases usage:idle-offers
statement-list usage usage:statements usage:sums
device-list home lease-list maintenance-window-list me node-list
notification-detail notification-list notification-mark-all-read
notification-mark-read notifications:inbox notifications:mark-all-read notifications:open organisation-list
partners:agreements partners:organisations pool-detail pool-list project-list projects:projects proposal-list
proposals:call proposals:calls proposals:proposal-check proposals:proposal-new proposals:proposals ssh-key-detail
ssh-key-list token-detail token-list allocations:waitlist wait-entry-list wait-entry-queues
prepared-list letter-list change-request-list proposals:change-requests
"""
OWN = """
audit-event-detail audit-event-list person-grant-role person-list
"""
"""Everybody reads themselves and what they did; tests/audit and tests/accounts look closer."""
OBJECT = """
idle-case-appeal idle-case-detail idle-case-reply idle-now
usage:idle-appeal usage:idle-case usage:idle-reply usage:lease-idle usage:lease-release-idle
allocations:lease-host-series allocations:lease-measured lease-comparison lease-host-series lease-processes lease-series
step-detail
progress-report-detail progress-report-submit projects:progress projects:progress-edit projects:progress-new
agreement-detail allocation-balance allocation-detail allocation-forecast allocation-ledger allocation-statement
agreement-detail allocation-balance allocation-detail allocation-forecast allocation-ledger allocation-rules
allocation-shortfalls
allocations:allocation
allocations:allocation-series
allocations:book allocations:book-check allocations:lease allocations:lease-cancel allocations:lease-certificate
allocations:lease-change allocations:lease-extend allocations:lease-handover allocations:lease-handover-file
allocations:lease-live
allocations:lease-release allocations:lease-series allocations:lease-shrink allocations:lease-swap
allocations:ledger
allocation-usage allocations:lease-usage lease-usage-corrections lease-usage-days
organisation-figures project-use statement-detail usage:figures-of usage:statement usage:statement-file
lease-cancel lease-certificate lease-change lease-detail lease-devices lease-extend lease-handover
lease-release lease-reshapes lease-shrink lease-swap lease-usage
organisation-detail organisation-invite organisation-members partners:agreement
allocations:lease-release allocations:lease-series allocations:ledger
lease-bill lease-cancel lease-certificate lease-change lease-detail lease-devices lease-extend lease-handover
lease-release lease-usage organisation-detail organisation-invite organisation-members partners:agreement
partners:agreement-document partners:amendment partners:amendment-document amendment-detail obligation-detail
obligation-fulfil agreement-sign amendment-sign partners:agreement-sign partners:amendment-sign
partners:obligation-fulfil partners:organisation-may organisation-may contact-detail department-detail
relation-detail shareholder-detail organisation-change-role organisation-move-member organisation-remove-member
organisation-transfer partners:contact-edit partners:contact-remove partners:department-edit
partners:department-remove partners:member-department partners:organisation-contact partners:organisation-department
partners:organisation-profile
partners:invitation-resend partners:invitation-revoke partners:member-invite
partners:member-remove partners:member-role partners:organisation partners:transfer project-add-member
project-detail project-remove-member project-team projects:project projects:team-add projects:team-remove
allocations:lease-accept allocations:lease-decline allocations:wait allocations:waitlist-leave
lease-accept lease-decline wait-entry-detail wait-entry-leave
proposal-accept proposal-detail proposal-refuse proposal-submit proposal-withdraw proposals:proposal
attachment-detail attachment-file proposal-attach proposal-attachments proposal-changes proposal-copy
proposal-versions proposals:changes proposals:proposal-copy proposals:receipt proposals:receipt-content
proposals:attachment proposals:attachment-remove proposals:edit-about proposals:edit-attachments proposals:edit-lines
proposals:edit-plan proposals:edit-questions proposals:edit-submit proposals:edit-team
proposals:proposal-accept proposals:proposal-edit proposals:proposal-refuse proposals:proposal-withdraw
change-request-detail change-request-withdraw proposals:change-request proposals:change-request-ask
proposals:change-request-new
proposals:change-request-withdraw
letter-detail proposal-appeal proposals:letter proposals:letter-file proposals:proposal-appeal
"""
KNOCK = """
idle-case-carry-out idle-case-dismiss idle-case-stop idle-case-uphold
change-request-decline change-request-grant
progress-report-accept progress-report-send-back projects:progress-accept
proposal-dismiss proposal-hold proposal-resume proposal-uphold
agreement-document agreement-sign-on-paper amendment-agree amendment-document amendment-sign-on-paper
amendment-withdraw obligation-reopen partners:amendment-agree partners:amendment-withdraw partners:obligation-remove
partners:obligation-reopen
step-judge step-reopen
partners:obligation-reopen partners:relation-remove partners:shareholder-remove
partners:agreement-resume proposal-award proposal-decline proposal-return-for-changes proposal-start-review
agreement-suspend agreement-terminate allocation-prioritise lease-correct-usage
lease-reclaim wait-entry-remove partners:agreement-activate
"""
"""Whoever sees the object may send these; the service refuses by role (tests/partners, tests/allocations)."""
STAFF = """
idle-rule-change idle-rule-detail idle-rule-discard idle-rule-switch-off idle-rule-switch-on idle-rule-try-out
usage:idle-carry-out usage:idle-dismiss usage:idle-rule usage:idle-rule-change usage:idle-rule-discard
usage:idle-rule-new usage:idle-rule-off usage:idle-rule-on usage:idle-rule-try usage:idle-rules usage:idle-stop
usage:idle-uphold usage:lease-breach
allocations:lease-usage-correct
device-processes device-series node-events node-host-series node-series reports:node-host-series reports:node-series
proposals:change-request-decline proposals:change-request-grant
projects:progress-list projects:progress-send-back
proposals:import proposals:import-template proposal-import
letter-text-detail letter-text-list prepared-approve prepared-decline prepared-detail prepared-discard prepared-release
prepared-sums proposals:decline-many proposals:dismiss proposals:hold proposals:letter-text proposals:letter-texts
proposals:prepare proposals:prepared proposals:prepared-approve proposals:prepared-discard proposals:prepared-list
proposals:release proposals:resume proposals:uphold
proposals:assignment-remove proposals:assignment-reopen proposals:call-assignments proposals:call-progress
proposals:call-propose proposals:call-ranking proposals:call-send proposals:proposal-assign
proposals:proposal-reviews proposals:proposal-waive proposals:reviewer proposals:reviewer-invite proposals:reviewers
proposals:reviewer-invitation-revoke
proposals:step proposals:step-reopen proposals:steps
proposals:named-files named-file-list
call-review-progress call-review-propose call-review-ranking call-review-send
allocations:allocation-priority allocations:pool-offers allocations:staff-waitlist allocations:waitlist-remove
pool-hold-offers
allocations:blackout allocations:blackout-cancel allocations:blackout-new allocations:rules allocations:rules-of
blackout-cancel booking-rules booking-rules-of
capacity capacity-details reports:capacity reports:capacity-details
offenders refused-calls pool-share-nodes pool-terms xid-policies xid-policy device-inspections
reports:health reports:pool-share reports:pool-terms reports:pools reports:xid-change reports:xid-forget reports:xids
adjustment-confirm adjustment-detail adjustment-reject adjustment-withdraw allocations:adjustment
allocations:adjustment-confirm allocations:adjustment-new allocations:adjustment-reject
allocations:adjustment-withdraw allocations:adjustments allocations:weight-new allocations:weight-withdraw
weight-withdraw
offenders refused-calls pool-share-nodes xid-policies xid-policy device-inspections
reports:health reports:pool-share reports:pools reports:xid-change reports:xid-forget reports:xids
agreement-activate agreement-resume device-clean device-detail device-partition device-quarantine device-retire
device-send-back fleet measurement-storage programme reports:programme reports:storage
lease-retry maintenance-window-cancel maintenance-window-detail node-confirm node-detail node-drain node-join-token
node-maintain node-resume node-retire node-rotate-token partners:agreement-edit partners:agreement-new
partners:agreement-suspend partners:agreement-amend partners:agreement-obligation partners:agreement-renew
partners:agreement-sign-on-paper partners:amendment-edit partners:amendment-sign-on-paper partners:obligation-edit
partners:organisation-relation partners:organisation-shareholder partners:shareholder-edit
partners:agreement-terminate partners:organisation-edit partners:organisation-new
call-figures call-terms proposals:call-cancel proposals:call-copy proposals:call-criteria proposals:call-dates
proposals:call-document-remove proposals:call-documents proposals:call-fast-lane proposals:call-figures
proposals:call-new proposals:call-pools proposals:call-preview proposals:call-publish proposals:call-questions
proposals:call-steps proposals:call-who proposals:staff-calls
call-copy call-publish
proposals:award proposals:call-edit proposals:decline proposals:queue
proposals:return proposals:start-review reports:device reports:device-series reports:fleet reports:fleet-live
reports:device-partition reports:fleet-map
reports:device-quarantine reports:device-retire reports:device-return reports:device-send-back reports:fleet-series
reports:node reports:node-confirm reports:node-drain reports:node-join-token reports:node-maintain reports:node-new
reports:node-resume reports:node-retire reports:node-rotate-token reports:node-window reports:nodes
reports:window-cancel sample-detail
styleguide
"""
REVIEW = """
proposals:review proposals:review-declare proposals:review-file proposals:review-save
review-declare review-detail review-draft review-proposal review-remove review-reopen review-submit
reviewer-detail
"""
"""What was given to one reviewer: theirs alone, besides officers and auditors; its organisation never learns of it."""
AUDIT = """
audit:events audit:verify
"""
ADMIN = """
accounts:people accounts:role-grant accounts:role-revoke person-detail person-revoke-role
"""
NODE = """
node-command node-event node-heartbeat node-hello node-report node-result node-samples
"""

MATRIX: dict[str, str] = {
    name: kind
    for kind, names in (
        ("open", OPEN),
        ("member", MEMBER + OWN),
        ("object", OBJECT + KNOCK),
        ("staff", STAFF),
        ("review", REVIEW),
        ("audit", AUDIT),
        ("admin", ADMIN),
        ("node", NODE),
    )
    for name in names.split()
}
