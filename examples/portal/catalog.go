// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/portalsec/portalsec/rbac"

// own says where the portal's tables name the organisation and the customer of a record, for lists.
var own = rbac.Columns{Tenant: "tenant", Owner: "customer_id"}

// The permissions of the portal. The policy file says which role has which.
var (
	ticketRead   = rbac.Permission("ticket.read", "read tickets", own)
	ticketOpen   = rbac.Permission("ticket.open", "open a ticket", own)
	ticketReply  = rbac.Permission("ticket.reply", "reply to a ticket", own)
	ticketClose  = rbac.Permission("ticket.close", "close a ticket", own)
	ticketDelete = rbac.Permission("ticket.delete", "delete a ticket with its files", rbac.Sensitive, own)

	attachmentRead = rbac.Permission("attachment.read", "download files", own)
	attachmentAdd  = rbac.Permission("attachment.add", "attach files", own)

	appointmentRead   = rbac.Permission("appointment.read", "see appointments", own)
	appointmentBook   = rbac.Permission("appointment.book", "book an appointment", own)
	appointmentMove   = rbac.Permission("appointment.move", "move an appointment", own)
	appointmentCancel = rbac.Permission("appointment.cancel", "cancel an appointment", own)

	customerRead = rbac.Permission("customer.read", "see customers' contact details", rbac.Columns{Tenant: "tenant", Owner: "account_id"})

	userRead    = rbac.Permission("user.read", "see users and their roles")
	userCreate  = rbac.Permission("user.create", "invite users")
	userSession = rbac.Permission("user.session", "see and end users' sessions")
	userReset   = rbac.Permission("user.reset", "make users set a new password, and let locked ones in again", rbac.Sensitive)
	userDisable = rbac.Permission("user.disable", "disable and enable users", rbac.Sensitive)
	userDelete  = rbac.Permission("user.delete", "delete users", rbac.Sensitive)
	userActAs   = rbac.Permission("user.act_as", "act as a customer", rbac.Sensitive)
	roleAssign  = rbac.Permission("role.assign", "give and take roles", rbac.Sensitive)

	securityRead = rbac.Permission("security.read", "see security preferences")
	securityEdit = rbac.Permission("security.edit", "change security preferences", rbac.Sensitive)
	networkRead  = rbac.Permission("network.read", "see network rules")
	networkEdit  = rbac.Permission("network.edit", "change network rules", rbac.Sensitive)
	auditRead    = rbac.Permission("audit.read", "read the audit log")
	mailRead     = rbac.Permission("mail.read", "see the mail that waits or could not be sent")
	mailEdit     = rbac.Permission("mail.edit", "send mail again or drop it")
	reportRead   = rbac.Permission("report.read", "see what users reported")
	reportClose  = rbac.Permission("report.close", "close what users reported")

	retentionRead    = rbac.Permission("retention.read", "see retention policies")
	retentionPlan    = rbac.Permission("retention.plan", "try a retention policy without deleting")
	retentionApprove = rbac.Permission("retention.approve", "approve a retention policy", rbac.Sensitive)
	retentionRun     = rbac.Permission("retention.run", "delete what is out of date now", rbac.Sensitive)
)

func catalog() (*rbac.Catalog, error) {
	return rbac.NewCatalog(
		ticketRead, ticketOpen, ticketReply, ticketClose, ticketDelete,
		attachmentRead, attachmentAdd,
		appointmentRead, appointmentBook, appointmentMove, appointmentCancel,
		customerRead,
		userRead, userCreate, userSession, userReset, userDisable, userDelete, userActAs, roleAssign,
		securityRead, securityEdit, networkRead, networkEdit, auditRead, mailRead, mailEdit, reportRead, reportClose,
		retentionRead, retentionPlan, retentionApprove, retentionRun,
	)
}
