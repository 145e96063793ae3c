namespace Platform.Host.Requests;

/// <summary>The request that the running code is part of, for what cannot be handed it: the caller of a scope, and listeners of the store.</summary>
/// <remarks>Not the framework's accessor, whose being there makes every request, also on the prediction path, carry it and have a context of its own.</remarks>
internal sealed class CurrentRequest
{
    private readonly AsyncLocal<Holder?> current = new();

    public HttpContext? Context => current.Value?.Context;

    /// <summary>From here on, until what is returned is disposed: then it is gone also for work that was begun in it and goes on.</summary>
    public IDisposable Begin(HttpContext context) => current.Value = new Holder { Context = context };

    private sealed class Holder : IDisposable
    {
        public HttpContext? Context { get; set; }

        public void Dispose() => Context = null;
    }
}
