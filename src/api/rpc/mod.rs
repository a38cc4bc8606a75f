//! The methods: typed handlers, one file per service. They take a message and the caller and return a message or a
//! refusal; they know neither bytes nor HTTP, so that every interface can call them.
//!
//! [`unary`] and [`stream`] lead from a method of the table (`rules.rs`) to its handler. An interface implements how
//! the request reaches the handler and the answer returns ([`UnaryFace`], [`StreamFace`]).
//!
//! * `kv`, `range_stream`, `lease`, `keep_alive`, [`watch`], `cluster`, `maintenance`, `downgrade`, `auth`, `lock`,
//!   `election`, `health`: the handlers. `recipes`: what locks and elections share.
//! * `audited`: the calls of handlers, recorded if there is an audit.
//! * `traced`: the calls of handlers, with a span if there are traces.
//! * `convert`: between messages and the model. `conflicts`: transactions that change a key twice.
//!
//! A new method: a row of the table, and a function here.

pub mod audited;
mod auth;
pub mod cluster;
mod conflicts;
pub mod convert;
mod downgrade;
mod election;
mod health;
mod keep_alive;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod range_stream;
mod recipes;
#[cfg(test)]
mod recipes_tests;
#[cfg(test)]
pub(super) mod stories;
pub mod traced;
pub mod watch;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use prost::Message;

use super::audit::Origin;
use super::encoding::Encode;
use super::proto::etcdserverpb as pb;
use super::proto::{health as healthpb, v3electionpb as electionpb, v3lockpb as lockpb};
use super::rules::{Rpc, methods};
use super::services::Services;
use crate::model::{Caller, Refusal};
use audited::{Seen, audited, begun};
use traced::traced;

/// A call in progress. It is on the heap: otherwise every request would need the space of the rarest method.
pub type Calling<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How an interface makes a call with one request and one answer.
pub trait UnaryFace: Sized + Send {
    /// Its result.
    type Done;

    /// Where the call comes from, for the audit.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// Passes the request to `handler`, and its answer back.
    fn unary<Q, A, H, F>(self, handler: H) -> impl Future<Output = Self::Done> + Send
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        H: Fn(Caller, Q) -> F + Send,
        F: Future<Output = Result<A, Refusal>> + Send;
}

/// How an interface makes a call with many answers.
pub trait StreamFace: Sized + Send {
    /// Its result.
    type Done;
    /// The requests, if there are many.
    type Requests<Q: Message + Default + 'static>: Stream<Item = Result<Q, Refusal>> + Unpin + Send + 'static;

    /// Where the call comes from, for the audit.
    fn origin(&self) -> Option<Origin> {
        None
    }

    /// Passes the request to `handler`, and its answers back.
    fn server_stream<Q, A, S, H, F>(self, handler: H) -> impl Future<Output = Self::Done> + Send
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        S: Stream<Item = Result<A, Refusal>> + Send + 'static,
        H: Fn(Caller, Q) -> F + Send,
        F: Future<Output = Result<S, Refusal>> + Send;

    /// Passes the requests to `handler`, and its answers back: messages `A`, or values that encode as one without being
    /// converted.
    fn bidirectional<Q, A, W, S, H>(self, handler: H) -> impl Future<Output = Self::Done> + Send
    where
        Q: Message + Default + 'static,
        W: Encode + Into<A> + Send + 'static,
        S: Stream<Item = Result<W, Refusal>> + Send + Unpin + 'static,
        H: Fn(Caller, Self::Requests<Q>) -> S + Send;
}

/// A function from a method to its call by the macro `call` of the place that uses this.
macro_rules! dispatch {
    ($($service:literal { $(
        $rpc:ident $method:literal $kind:ident $access:ident $learner:ident [$($json:literal),*]
            $(=> $module:ident::$handler:ident($request:ty) -> $answer:ty)?;
    )* })*) => {
        |rpc: Rpc| -> Option<Calling<'a, F::Done>> {
            match rpc {
                $($(Rpc::$rpc => call!($kind $($module $handler $request, $answer)?),)*)*
            }
        }
    };
}

/// Makes a call of a unary method; `None` for methods of another kind.
pub fn unary<'a, F>(rpc: Rpc, services: &'a Arc<Services>, face: F) -> Option<Calling<'a, F::Done>>
where
    F: UnaryFace + 'a,
{
    let origin = face.origin();
    macro_rules! call {
        (Unary $module:ident $handler:ident $request:ty, $answer:ty) => {
            Some(Box::pin(face.unary::<$request, $answer, _, _>(move |caller, request| {
                audited(services, rpc, origin.clone(), (caller, request), move |caller, request| {
                    traced(services, rpc, request, |request| $module::$handler(services, caller, request))
                })
            })))
        };
        ($($other:tt)*) => {
            None
        };
    }
    methods!(dispatch)(rpc)
}

/// Makes a call of a method with many answers; `None` for unary ones, and for those without a handler.
pub fn stream<'a, F>(rpc: Rpc, services: &'a Arc<Services>, face: F) -> Option<Calling<'a, F::Done>>
where
    F: StreamFace + 'a,
{
    let origin = face.origin();
    macro_rules! call {
        (ServerStream $module:ident $handler:ident $request:ty, $answer:ty) => {
            Some(Box::pin(face.server_stream::<$request, $answer, _, _, _>(move |caller, request| {
                audited(services, rpc, origin.clone(), (caller, request), move |caller, request| {
                    traced(services, rpc, request, |request| $module::$handler(services, caller, request))
                })
            })))
        };
        (Bidirectional $module:ident $handler:ident $request:ty, $answer:ty) => {
            Some(Box::pin(face.bidirectional::<$request, $answer, _, _, _>(move |caller, requests| {
                begun(services, rpc, origin.as_ref(), &caller);
                let requests = Seen::new(services, rpc, origin.clone(), &caller, requests);
                $module::$handler(services, caller, requests)
            })))
        };
        ($($other:tt)*) => {
            None
        };
    }
    methods!(dispatch)(rpc)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::stories::{lone_leader, with_users};
    use super::*;
    use crate::api::rules::{Access, Kind, RULES, Rule};
    use crate::api::services::ETCD_VERSION;
    use crate::store::Condemned;

    /// An interface for this test: it sends the default message, and keeps the result.
    struct Asks(Caller);

    impl UnaryFace for Asks {
        type Done = Result<Vec<u8>, Refusal>;

        async fn unary<Q, A, H, F>(self, handler: H) -> Self::Done
        where
            Q: Message + Default + 'static,
            A: Message + 'static,
            H: Fn(Caller, Q) -> F + Send,
            F: Future<Output = Result<A, Refusal>> + Send,
        {
            Ok(handler(self.0, Q::default()).await?.encode_to_vec())
        }
    }

    impl StreamFace for Asks {
        type Done = Result<(), Refusal>;
        type Requests<Q: Message + Default + 'static> = stream::Empty<Result<Q, Refusal>>;

        async fn server_stream<Q, A, S, H, F>(self, handler: H) -> Self::Done
        where
            Q: Message + Default + 'static,
            A: Message + 'static,
            S: Stream<Item = Result<A, Refusal>> + Send + 'static,
            H: Fn(Caller, Q) -> F + Send,
            F: Future<Output = Result<S, Refusal>> + Send,
        {
            handler(self.0, Q::default()).await.map(drop)
        }

        async fn bidirectional<Q, A, W, S, H>(self, handler: H) -> Self::Done
        where
            Q: Message + Default + 'static,
            W: Encode + Into<A> + Send + 'static,
            S: Stream<Item = Result<W, Refusal>> + Send + 'static,
            H: Fn(Caller, Self::Requests<Q>) -> S + Send,
        {
            drop(handler(self.0, stream::empty()));
            Ok(())
        }
    }

    /// What a caller without the necessary right is answered, by the rule of the method. Methods on keys are not here:
    /// it depends on the request.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_method_refuses_whom_its_rule_refuses() {
        let (services, _stopper, _dir) = lone_leader().await;
        with_users(&services).await;
        let user = |name: &str| {
            let auth_revision = services.store.users().revision();
            Caller::user(name, auth_revision)
        };
        let callers = [Caller::Anonymous, user("nobody"), user("reader"), user("root"), Caller::System];
        let mut asked = 0;
        for rule in RULES.iter().filter(|rule| rule.service != "etcdserverpb.Auth") {
            // The one request that is wrong before its caller is asked.
            if rule.rpc == Rpc::MemberAdd {
                continue;
            }
            let by_user = [Some(Refusal::UserEmpty), None, None, None, None];
            let (denied, gone) = (Some(Refusal::PermissionDenied), Some(Refusal::UserNotFound));
            let expected = match rule.access {
                // The default request only reads.
                Access::Authenticated | Access::RootUnlessReading => by_user,
                Access::Root => [Some(Refusal::UserEmpty), gone, denied, None, None],
                Access::Anyone | Access::Keys | Access::RootOrOwn => continue,
            };
            for (caller, expected) in callers.iter().zip(expected) {
                let asks = Asks(caller.clone());
                let refused = match unary(rule.rpc, &services, asks) {
                    Some(call) => call.await.err(),
                    None => {
                        let asks = Asks(caller.clone());
                        stream(rule.rpc, &services, asks).expect("a method").await.err()
                    }
                };
                let about_permission = refused.filter(|refused| {
                    let texts = [Refusal::UserEmpty, Refusal::UserNotFound, Refusal::PermissionDenied];
                    texts.contains(refused)
                });
                assert_eq!(about_permission, expected, "{} by {caller:?}", rule.path);
                asked += 1;
            }
        }
        assert!(asked >= 70, "{asked}");
        services.node.shutdown().await;
    }

    /// The gate was passed before the state was found wrong.
    #[tokio::test]
    async fn a_call_under_way_is_not_answered_from_a_state_that_is_found_wrong() {
        let (services, _stopper, _dir) = lone_leader().await;
        let why = Condemned { why: "a test".into(), replace: false, told: false };
        services.store.condemn(&why).expect("marked");
        let mut answered = Vec::new();
        // A campaign would wait for the lock that is below the same name.
        let asked = |rule: &&Rule| rule.kind == Kind::Unary && rule.rpc != Rpc::Campaign;
        for rule in RULES.iter().filter(asked) {
            let call = unary(rule.rpc, &services, Asks(Caller::System)).expect("a unary method");
            match call.await {
                Ok(_) => answered.push(rule.rpc),
                Err(Refusal::Corrupt) => assert!(rule.rpc.only_reads(), "{}", rule.path),
                Err(_) => {}
            }
        }
        assert!(answered.iter().all(|rpc| rpc.needs_no_state()), "{answered:?}");
        let status = unary(Rpc::Status, &services, Asks(Caller::System)).expect("a unary method");
        let status = pb::StatusResponse::decode(&*status.await.expect("an answer")).expect("a message");
        let corrupt = "etcdserver: corrupt cluster".to_string();
        assert!(status.errors.contains(&corrupt), "whoever looks finds out: {:?}", status.errors);
        services.node.shutdown().await;
    }

    #[tokio::test]
    async fn every_method_leads_any_face_to_its_handler() {
        let (services, _stopper, _dir) = lone_leader().await;
        let asks = || Asks(Caller::Anonymous);
        for rule in RULES {
            let is_unary = rule.kind == Kind::Unary;
            let is_ours = !matches!(rule.rpc, Rpc::Reflection | Rpc::ReflectionAlpha);
            assert_eq!(unary(rule.rpc, &services, asks()).is_some(), is_unary, "{}", rule.path);
            assert_eq!(stream(rule.rpc, &services, asks()).is_some(), !is_unary && is_ours, "{}", rule.path);
        }
        let status = unary(Rpc::Status, &services, asks()).expect("a unary method").await.expect("an answer");
        assert_eq!(pb::StatusResponse::decode(&status[..]).expect("a message").version, ETCD_VERSION);
        let put = unary(Rpc::Put, &services, asks()).expect("a unary method").await;
        assert_eq!(put, Err(Refusal::EmptyKey));
        let range = stream(Rpc::RangeStream, &services, asks()).expect("a method of a stream").await;
        assert_eq!(range, Err(Refusal::EmptyKey));
        let watch = stream(Rpc::Watch, &services, asks()).expect("a method of a stream").await;
        assert_eq!(watch, Ok(()));
        services.node.shutdown().await;
    }
}
