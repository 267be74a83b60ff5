import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.Map;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;
import org.neo4j.graphdb.ExecutionPlanDescription;
import org.neo4j.graphdb.GraphDatabaseService;

/**
 * Neo4j in the folder args[0] with the settings in args[1]; the user neo4j gets the password args[2], where there is
 * one. Each line of input is a statement, and what is said of it is its plan.
 */
public class Neo4jServer {
  public static void main(String[] args) throws Exception {
    var server =
        new DatabaseManagementServiceBuilder(Path.of(args[0]))
            .loadPropertiesFromFile(Path.of(args[1]))
            .build();
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
    if (args.length > 2) {
      server
          .database("system")
          .executeTransactionally(
              "ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED",
              Map.of("password", args[2]));
    }
    System.out.println("Neo4j serves");
    var statements = new BufferedReader(new InputStreamReader(System.in));
    for (var line = statements.readLine(); line != null; line = statements.readLine()) {
      System.out.println("plan: " + plan(server.database("neo4j"), line));
    }
    System.exit(0);
  }

  private static String plan(GraphDatabaseService database, String statement) {
    try {
      return database.executeTransactionally(
          "EXPLAIN " + statement,
          Map.of(),
          result -> operators(result.getExecutionPlanDescription()));
    } catch (RuntimeException wrong) {
      return "wrong: " + wrong.getMessage().replace('\n', ' ');
    }
  }

  private static String operators(ExecutionPlanDescription plan) {
    var names = new StringBuilder(plan.getName());
    for (var child : plan.getChildren()) {
      names.append(' ').append(operators(child));
    }
    return names.toString();
  }
}
