using System.Numerics;
using System.Text.Json;
using Platform.Registry.Contracts;

namespace Platform.Inference.Predict.Runtimes;

/// <summary>Versions made of other versions. Members are the sessions that the cache has anyhow: one that is served by itself too is in memory once,
/// and none is unloaded while a composite made of it is loaded.</summary>
internal sealed class CompositeEngine(Func<ModelCache> cache, RunGate gate, InferenceOptions options, TimeProvider time) : IModelRuntime
{
    public ArtifactKind Kind => ArtifactKind.Composite;

    public string Placement => "where its members run";

    public async Task<ILoadedModel> LoadAsync(byte[] artifact)
    {
        CompositeDescriptor made;
        try
        {
            made = CompositeDescriptor.Of(artifact);
        }
        catch (JsonException failure)
        {
            throw new ModelLoadException("its description cannot be read", failure);
        }
        var models = cache();
        if (ModelCache.Least(made.Members.Sum(member => member.ArtifactBytes)) > models.MemoryBudget)
            throw new ModelLoadException($"its members do not fit together into the memory set aside for models ({models.MemoryBudget:N0} bytes)");
        var members = new List<Member>();
        try
        {
            foreach (var spec in made.Members) members.Add(await Member.LoadAsync(models, made.Tenant, spec));
            return members.Exists(member => member.Model is IRemoteModel)
                ? new AwaitedComposite(made, [.. members], gate, options.LongestRun, time)
                : new CompositeModel(made, [.. members], options.LongestRun, time);
        }
        catch
        {
            members.ForEach(member => member.Dispose());
            throw;
        }
    }
}

/// <summary>One member: its place in the cache, held from before it is loaded until the composite is disposed.</summary>
internal sealed class Member : IDisposable
{
    private readonly ModelCache cache;
    private readonly Session session;

    private Member(ModelCache cache, ResidentModel place, Session session, CompositeMember spec)
    {
        (this.cache, Place, this.session, Spec) = (cache, place, session, spec);
        Inputs = [.. Model.Signature.Inputs.Select(TensorLayout.Of)];
        Outputs = [.. Model.Signature.Outputs.Select(TensorLayout.Of)];
    }

    public CompositeMember Spec { get; }

    public ResidentModel Place { get; }

    public ILoadedModel Model => session.Model;

    /// <summary>The most of its rows that may be run together.</summary>
    public int MostRows => session.Trial.MaxRows;

    public TensorLayout[] Inputs { get; }

    public TensorLayout[] Outputs { get; }

    public static async Task<Member> LoadAsync(ModelCache cache, string tenant, CompositeMember spec)
    {
        var place = cache.Hold(new ModelKey(tenant, spec.ArtifactSha256), spec.ArtifactBytes, spec.Kind);
        try
        {
            var use = await place.UseAsync(CancellationToken.None);
            if (use.Refusal is { } refusal) throw new ModelLoadException($"its member '{spec.Model}' (version {spec.Version}) says: {refusal.Detail.TrimEnd('.')}");
            try
            {
                return new Member(cache, place, use.Value, spec);
            }
            catch
            {
                use.Value.Release();
                throw;
            }
        }
        catch
        {
            cache.LetGo(place);
            throw;
        }
    }

    public int Input(string name) => At(Inputs, name, "input");

    public int Output(string name) => At(Outputs, name, "output");

    /// <summary>The failure of this member, by its name.</summary>
    public ModelRunException Failed(ModelRunException failure) => new(failure.Failure, failure.Message, failure)
    {
        Member = $"'{Spec.Model}' (version {Spec.Version})" + (failure.Member is { } inner ? $", in it {inner}" : ""),
    };

    public void Dispose()
    {
        session.Release();
        cache.LetGo(Place);
    }

    private int At(TensorLayout[] layouts, string name, string side) => Array.FindIndex(layouts, layout => layout.Name == name) is >= 0 and var index ? index
        : throw new ModelLoadException($"its member '{Spec.Model}' (version {Spec.Version}) has no {side} '{name}'");
}

/// <summary>A model made of members that all run here: one run of it is a run of each of them, in the one turn it was given, so it never holds a turn
/// while it waits for another.</summary>
internal class CompositeModel : ILoadedModel
{
    private readonly CompositeKind kind;
    private readonly Member[] members;
    private readonly TimeSpan longestRun;
    private readonly TimeProvider time;

    /// <summary>By member and then by its input: where in the composite's inputs, or in the outputs of the member before it, the value is.</summary>
    private readonly int[][] sources;

    /// <summary>By member and then by the composite's output: where it is among the member's.</summary>
    private readonly int[][] outputs;

    /// <summary>By member: the outputs that the member after it takes.</summary>
    private readonly int[][] passedOn;

    public CompositeModel(CompositeDescriptor made, Member[] members, TimeSpan longestRun, TimeProvider time)
    {
        (kind, this.members, this.longestRun, this.time, Signature) = (made.Kind, members, longestRun, time, made.Signature);
        sources = [.. members.Select((member, i) => member.Inputs.Select(input => Source(made, i, member.Spec.Inputs.GetValueOrDefault(input.Name) ?? input.Name)).ToArray())];
        outputs = [.. members.Select(member => IsSequence && member != members[^1] ? [] : made.Signature.Outputs.Select(output => member.Output(output.Name)).ToArray())];
        passedOn = [.. members.Select((_, i) => IsSequence && i + 1 < members.Length ? sources[i + 1].Distinct().ToArray() : [])];
        MostRows = members.Min(member => Math.Min(member.MostRows, member.Model.MostRows));
    }

    public ModelSignature Signature { get; }

    public int MostRows { get; }

    protected Member[] Members => members;

    private bool IsSequence => kind is CompositeKind.Sequence;

    public bool IsMadeOf(ResidentModel model) => Array.Exists(members, member => member.Place == model);

    /// <summary>Its members are warm.</summary>
    public void WarmUp(RunSeat seat)
    {
    }

    public void Run(TensorSet set, ReadOnlySpan<int> wanted, RunSeat seat)
    {
        Begin(set, out var began);
        try
        {
            for (var i = 0; i < members.Length; i++)
            {
                var asked = Feed(set, i, wanted, began);
                try
                {
                    members[i].Model.Run(set.Parts[i], asked, seat);
                }
                catch (ModelRunException failure)
                {
                    throw members[i].Failed(failure);
                }
            }
            Answer(set, wanted);
        }
        finally
        {
            End(set);
        }
    }

    public void Dispose()
    {
        foreach (var member in members) member.Dispose();
    }

    protected void Begin(TensorSet set, out long began)
    {
        if (set.Parts.Length == 0) set.Parts = [.. members.Select(member => new TensorSet(member.Inputs, member.Outputs))];
        began = time.GetTimestamp();
    }

    /// <summary>Fills the member's inputs; which outputs to ask it for.</summary>
    protected int[] Feed(TensorSet set, int i, ReadOnlySpan<int> wanted, long began)
    {
        // Each member's run has the limit of any run; this keeps a chain of slow ones from taking many times that.
        if (time.GetElapsedTime(began) >= longestRun) throw members[i].Failed(new ModelRunException(RunFailure.TimedOut, "The members before it took all the time there is."));
        var from = IsSequence && i > 0 ? set.Parts[i - 1].Outputs : set.Inputs;
        for (var input = 0; input < sources[i].Length; input++) set.Parts[i].Inputs[input].CopyFrom(from[sources[i][input]]);
        if (IsSequence && i + 1 < members.Length) return passedOn[i];
        var asked = new int[wanted.Length];
        for (var w = 0; w < asked.Length; w++) asked[w] = outputs[i][wanted[w]];
        return asked;
    }

    protected void Answer(TensorSet set, ReadOnlySpan<int> wanted)
    {
        foreach (var output in wanted)
        {
            var to = set.Outputs[output];
            if (IsSequence) to.CopyFrom(set.Parts[^1].Outputs[outputs[^1][output]]);
            else if (to.Layout.Datatype is Datatype.FP64) Mean<double>(set, output, to);
            else Mean<float>(set, output, to);
        }
    }

    protected static void End(TensorSet set)
    {
        foreach (var part in set.Parts) part.Clear();
    }

    /// <summary>Added up in double precision, in the members' order, so that the same answers always give the same bits.</summary>
    private void Mean<T>(TensorSet set, int output, Tensor to) where T : unmanaged, INumberBase<T>
    {
        var first = set.Parts[0].Outputs[outputs[0][output]];
        to.Clear();
        to.SetShape(first.Shape);
        to.Resize(first.Count);
        for (var i = 1; i < members.Length; i++)
        {
            if (!set.Parts[i].Outputs[outputs[i][output]].Shape.AsSpan().SequenceEqual(first.Shape))
                throw members[i].Failed(new ModelRunException(RunFailure.Failed, $"Its output '{to.Layout.Name}' has another shape than the first member's."));
        }
        var means = to.Values<T>();
        for (var at = 0; at < means.Length; at++)
        {
            var sum = 0.0;
            for (var i = 0; i < members.Length; i++) sum += members[i].Spec.Weight * double.CreateTruncating(set.Parts[i].Outputs[outputs[i][output]].Values<T>()[at]);
            means[at] = T.CreateTruncating(sum);
        }
    }

    private int Source(CompositeDescriptor made, int i, string name)
    {
        if (made.Kind is CompositeKind.Sequence && i > 0) return members[i - 1].Output(name);
        for (var at = 0; at < made.Signature.Inputs.Count; at++)
        {
            if (made.Signature.Inputs[at].Name == name) return at;
        }
        throw new ModelLoadException($"it has no input '{name}'");
    }
}

/// <summary>A composite with a member that is awaited, on another server or as a composite of that kind itself: it has no turn of its own. Each member that
/// runs here takes one for its run, and gives it back before the next is asked.</summary>
internal sealed class AwaitedComposite(CompositeDescriptor made, Member[] members, RunGate gate, TimeSpan longestRun, TimeProvider time)
    : CompositeModel(made, members, longestRun, time), IRemoteModel
{
    private readonly string tenant = made.Tenant;

    public async Task CallAsync(TensorSet set, int[] wanted, CancellationToken ct)
    {
        Begin(set, out var began);
        try
        {
            for (var i = 0; i < Members.Length; i++)
            {
                ct.ThrowIfCancellationRequested();
                var asked = Feed(set, i, wanted, began);
                try
                {
                    if (Members[i].Model is IRemoteModel remote) await remote.CallAsync(set.Parts[i], asked, ct);
                    else await RunAsync(Members[i], set.Parts[i], asked, ct);
                }
                catch (ModelRunException failure) when (failure.Refusal is null)
                {
                    throw Members[i].Failed(failure);
                }
            }
            Answer(set, wanted);
        }
        finally
        {
            End(set);
        }
    }

    private async Task RunAsync(Member member, TensorSet set, int[] asked, CancellationToken ct)
    {
        while (true)
        {
            var entered = await gate.EnterAsync(tenant, ct);
            if (entered.Refusal is { } crowded) throw new ModelRunException(crowded);
            try
            {
                member.Model.Run(set, asked, entered.Value);
                return;
            }
            catch (ModelRunException failure) when (failure.Failure is RunFailure.GaveWay)
            {
                // Once more, when it is its turn.
            }
            finally
            {
                gate.Exit(entered.Value);
            }
        }
    }
}
