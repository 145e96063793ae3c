using Platform.Kernel;

namespace Platform.Registry.Tracking;

/// <summary>The store refuses in the words that MLflow's clients know; the platform's own API has its own.</summary>
internal static class RunRefusals
{
    public static Refusal InOwnWords(this Refusal refusal, string id) => (refusal.Code, refusal.Field) switch
    {
        ("RESOURCE_DOES_NOT_EXIST", "run_id") => Refusal.NotFound("run", id),
        ("no-such-experiment", _) => Refusal.NotFound("experiment", id),
        ("INVALID_PARAMETER_VALUE", "experiment_id") => ExperimentDeleted(id),
        ("INVALID_PARAMETER_VALUE", "run_id") => Refusal.Conflict("run-deleted", $"The run '{id}' is deleted.", "run", "Restore it first."),
        ("INVALID_PARAMETER_VALUE", "params") => refusal with { Kind = RefusalKind.Conflict, Code = "parameter-differs", Field = "parameters", Mend = "A parameter is written once. Log the other value under another key, or begin another run." },
        ("RESOURCE_ALREADY_EXISTS", "name") => Refusal.Conflict("experiment-exists", "Another experiment has this name.", "name", "Choose another name."),
        ("RESOURCE_ALREADY_EXISTS", _) => refusal with { Code = "experiment-exists", Field = "experiment" },
        _ => refusal,
    };

    public static Refusal ExperimentDeleted(string id) => Refusal.Conflict("experiment-deleted", $"The experiment '{id}' is deleted.", "experiment", "Restore it first.");
}
