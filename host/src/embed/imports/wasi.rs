//! The part of WASI that Rust's standard library uses in a component: environment,
//! standard streams, clocks and random numbers. Filesystem and sockets are not linked
//! at all.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxView};

use crate::embed::host::HostState;

/// The WASI state of one instance.
pub(crate) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    output: MemoryOutputPipe,
}

impl Wasi {
    /// No input, no arguments, no files, no network. The settings are its environment;
    /// its output is kept, up to a limit, for the debug log.
    pub(crate) fn new(host: &HostState) -> Self {
        let output = MemoryOutputPipe::new(host.limits.output_bytes_per_call);
        let ctx = WasiCtx::builder()
            .envs(&host.settings)
            .stdout(output.clone())
            .stderr(output.clone())
            .max_random_size(host.limits.random_bytes)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self {
            ctx,
            table: ResourceTable::new(),
            output,
        }
    }

    /// Returns the context and the table of its resources.
    pub(crate) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.ctx,
            table: &mut self.table,
        }
    }

    /// Returns the output of the instance so far.
    pub(crate) fn printed(&self) -> bytes::Bytes {
        self.output.contents()
    }
}
