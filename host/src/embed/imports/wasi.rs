//! The part of WASI that Rust's standard library uses in a component: environment,
//! standard streams, clocks and random numbers. Filesystem and sockets are not linked
//! at all.
//!
//! The parts are created on first use: every call reads the settings and the clock, and to
//! seed generators of random numbers for it as well would take longer than both.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::clocks::{WasiClocksCtx, WasiClocksCtxView};
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView};

use crate::embed::ctx::UserAuthCtx;
use crate::limits::Limits;

/// The WASI state of one instance.
#[derive(Default)]
pub(crate) struct Wasi {
    clocks: Option<WasiClocksCtx>,
    rest: Option<Rest>,
    table: ResourceTable,
}

struct Rest {
    ctx: WasiCtx,
    output: MemoryOutputPipe,
}

impl Wasi {
    /// Returns the clocks, and the table of their resources.
    pub(crate) fn clocks(&mut self) -> WasiClocksCtxView<'_> {
        WasiClocksCtxView {
            ctx: self.clocks.get_or_insert_default(),
            table: &mut self.table,
        }
    }

    /// Returns the context of the other interfaces, and the table of its resources: no input,
    /// no arguments, no files, no network. Its output is kept, up to a limit, for the debug
    /// log.
    pub(crate) fn view(&mut self, limits: &Limits) -> WasiCtxView<'_> {
        let rest = self.rest.get_or_insert_with(|| {
            let output = MemoryOutputPipe::new(limits.output_bytes_per_call);
            let ctx = WasiCtx::builder()
                .stdout(output.clone())
                .stderr(output.clone())
                .max_random_size(limits.random_bytes)
                .allow_tcp(false)
                .allow_udp(false)
                .build();
            Rest { ctx, output }
        });
        WasiCtxView {
            ctx: &mut rest.ctx,
            table: &mut self.table,
        }
    }

    /// Returns the table of all resources.
    pub(crate) fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// Returns the output of the instance so far.
    pub(crate) fn printed(&self) -> bytes::Bytes {
        let rest = self.rest.as_ref();
        rest.map(|rest| rest.output.contents()).unwrap_or_default()
    }
}

/// The environment: the settings, and nothing of this program's own.
impl environment::Host for UserAuthCtx {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.host().settings().to_vec())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}
