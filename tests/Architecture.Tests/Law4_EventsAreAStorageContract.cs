using System.Reflection;
using System.Text;
using Marten;
using Platform.Kernel;

namespace Architecture.Tests;

/// <summary>Law 4: every event is a sealed record with an explicit name in its module's prefix, and the catalogue of names and shapes is a snapshot: what is stored must stay readable.</summary>
public sealed class Law4_EventsAreAStorageContract
{
    [Fact]
    public void Every_event_is_a_sealed_record_named_by_its_module() => House.Modules.SelectMany(Faults).ShouldHold();

    [Fact]
    public void An_open_class_under_another_modules_name_is_noticed() =>
        Faults(House.Broken).ShouldBe(["ThingHappened is not a sealed record", "ThingHappened is named tenancy.thing-happened, outside broken."], ignoreOrder: true);

    [Fact]
    public void The_catalogue_of_events_has_not_changed()
    {
        var catalogue = new StringBuilder();
        foreach (var (name, type) in House.Modules.SelectMany(EventsOf).OrderBy(e => e.Name, StringComparer.Ordinal)) catalogue.AppendLine($"{name} {Shape(type, [])}");

        // A changed line means stored events may no longer be read: add an upcaster, or add only optional members, and then accept the new catalogue.
        catalogue.ToString().ShouldMatchApproved(options => options.NoDiff().WithFilenameGenerator((_, _, kind, extension) => $"EventCatalogue.{kind}.{extension}"));
    }

    private static IEnumerable<string> Faults(IModule module)
    {
        foreach (var (name, type) in EventsOf(module))
        {
            if (!type.IsSealed || type.GetMethod("<Clone>$") is null) yield return $"{type.Name} is not a sealed record";
            if (!name.StartsWith(module.Name + ".", StringComparison.Ordinal)) yield return $"{type.Name} is named {name}, outside {module.Name}.";
        }
    }

    private static IEnumerable<(string Name, Type Type)> EventsOf(IModule module)
    {
        var store = new StoreOptions();
        module.ConfigureStore(store);
        return ((IReadOnlyStoreOptions)store).Events.AllKnownEventTypes().Where(e => e.EventType.Assembly == module.Assembly).Select(e => (e.EventTypeName, e.EventType));
    }

    private static string Shape(Type type, HashSet<Type> seen)
    {
        if (Nullable.GetUnderlyingType(type) is { } inner) return Shape(inner, seen) + "?";
        if (type.IsEnum) return $"({string.Join('|', Enum.GetNames(type))})";
        if (type.IsGenericType && type.GetGenericArguments() is { Length: 1 } item) return $"[{Shape(item[0], seen)}]";
        if (type.IsGenericType && type.GetGenericArguments() is { Length: 2 } pair) return $"{{{Shape(pair[0], seen)}: {Shape(pair[1], seen)}}}";
        if (type.Namespace!.StartsWith("System", StringComparison.Ordinal)) return type.Name;
        if (!seen.Add(type)) return type.Name;
        var members = type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.Name != "EqualityContract").OrderBy(p => p.Name, StringComparer.Ordinal);
        return $"{{ {string.Join(", ", members.Select(p => $"{char.ToLowerInvariant(p.Name[0])}{p.Name[1..]}: {Shape(p.PropertyType, seen)}"))} }}";
    }
}
