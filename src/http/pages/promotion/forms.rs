//! Forms of a promotion's page. Each asks for the page that says what will happen; only what the person who is signed in may do is offered.

use maud::{Markup, html};

use crate::api::Explanation;
use crate::http::auth::Visitor;
use crate::http::needs::Act;
use crate::http::pages::act::title;
use crate::http::pages::markup::promotion_path;
use driftgate_core::policy::{Approvals, Policy};
use driftgate_core::promotion::PROD;
use driftgate_core::rollout::{self, Phase};

/// What the forms are about.
pub struct Forms<'f> {
    pub seen: &'f Explanation,
    pub policy: &'f Policy,
    pub rollout: Option<&'f rollout::State>,
    pub visitor: &'f Visitor,
}

impl Forms<'_> {
    fn may(&self, act: Act) -> bool {
        self.visitor.may(act, &self.seen.model).is_ok()
    }

    /// A form with some fields and the button of an action.
    fn form(&self, act: Act, fields: &Markup) -> Markup {
        if !self.may(act) {
            return html! {};
        }
        html! {
            form method="get" action={ (promotion_path(&self.seen.model, &self.seen.version)) "/" (act.name()) } {
                div.fields { (fields) button.main[act == Act::Approve] { (title(act)) "…" } }
            }
        }
    }

    /// Approving for a stage, and promoting to it.
    pub fn gate(&self, stage: &str) -> Markup {
        let mut roles: Vec<&str> = Vec::new();
        for transition in self.policy.transitions.iter().filter(|t| t.to == stage) {
            if let Approvals::Roles { roles: asked, .. } = &transition.approvals {
                roles.extend(asked.keys().map(String::as_str));
            }
        }
        roles.sort_unstable();
        roles.dedup();
        let own = self.visitor.caller.as_ref().map(|caller| caller.approves_as(&self.seen.model)).unwrap_or_default();
        let offered: Vec<&str> =
            roles.iter().copied().filter(|role| own.is_empty() || own.iter().any(|o| o == role)).collect();
        let approve = html! {
            input type="hidden" name="to" value=(stage);
            label { "as" select name="role" { @for role in &offered { option value=(role) { (role) } } } }
            label { "comment" input name="comment" maxlength="2000"; }
        };
        let promote = html! {
            input type="hidden" name="to" value=(stage);
            @if self.seen.rolled_back.is_some() { label { "why it is tried again" input name="retry" maxlength="2000"; } }
            label { "comment" input name="comment" maxlength="2000"; }
        };
        html! {
            @if !offered.is_empty() { (self.form(Act::Approve, &approve)) }
            (self.form(Act::Promote, &promote))
            @if self.visitor.caller.is_none() && self.visitor.can_sign_in {
                p.soft { "Who signs in can approve and promote here, as far as their token may." }
            }
        }
    }

    /// What can be done to the rollout that is under way.
    pub fn rollout(&self) -> Markup {
        let Some(state) = self.rollout.filter(|state| !state.phase.is_over() && !state.external) else {
            return html! {};
        };
        let why = html! { label { "reason" input name="reason" maxlength="2000" required; } };
        html! {
            @if state.paused.is_some() { (self.form(Act::Continue, &html! {})) } @else { (self.form(Act::Pause, &why)) }
            @if state.phase != Phase::Promoting { (self.form(Act::Confirm, &html! {})) }
            (self.form(Act::Abort, &why))
        }
    }

    /// What can be done beside promotion and rollout.
    pub fn others(&self) -> Markup {
        if !self.may(Act::Freeze) {
            return html! {};
        }
        let serves = self.seen.stages.iter().any(|stage| stage == PROD);
        let why = html! { label { "reason" input name="reason" maxlength="2000" required; } };
        let back = self.seen.rollback_target.as_ref();
        let back = html! {
            (why)
            label { "to version" input name="back_to" value=[back.map(|target| &target.version)]; }
            @if let Some(caution) = back.and_then(|target| target.caution.as_ref()) { span.warn { (caution) } }
        };
        let unblock = html! {
            (why)
            label { "group" select name="group" {
                option value="" { "all" }
                @for block in &self.seen.blocks { option value=(block.group) { (block.group) } }
            } }
        };
        html! {
            h2 { "Other actions" }
            @if serves { (self.form(Act::RollBack, &back)) }
            @if !self.seen.blocks.is_empty() { (self.form(Act::Unblock, &unblock)) }
            @if self.seen.frozen.is_some() { (self.form(Act::Resume, &html! {})) } @else { (self.form(Act::Freeze, &why)) }
        }
    }
}
